"""The verbs besides `run`, one file each: what commands, admin and API call alike."""
