"""The REST API: programs register, check, run and watch mappings by it. It calls the verbs and has none itself."""
