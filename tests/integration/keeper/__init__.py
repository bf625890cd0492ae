"""The keeper tested alone: a real process at the other end of a real socket."""
