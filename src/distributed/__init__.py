"""Which process of its job this is, and how it talks to the others. Needs no MindSpore to be imported."""
