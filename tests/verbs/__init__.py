"""Tests of the verbs besides run."""
