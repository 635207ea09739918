"""The process's place in its job and communication with the other ranks. Can be imported without MindSpore."""
