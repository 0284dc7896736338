"""The editor of a mapping beside its form: what is entered as a document, as rows and as a plan, before it is saved."""
