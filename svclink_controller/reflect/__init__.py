"""Lists and watches one kind of object of one cluster into the state."""
