"""What a person types and sees: the command, its options, tables and the live display."""
