"""The number of instances follows the load: a pure decision, and the loop that asks for it."""
