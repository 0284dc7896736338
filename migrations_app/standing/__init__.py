"""How streams and mappings stand, in words: `judging` knows the rules, `gathering` asks the control database."""
