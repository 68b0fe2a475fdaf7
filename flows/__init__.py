"""Everything that orchestrates; imports no component."""
