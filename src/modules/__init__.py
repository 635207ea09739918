"""Network, loss, train cell, optimizer."""
