"""`--dry_run`: what can go wrong, checked before the first step."""
