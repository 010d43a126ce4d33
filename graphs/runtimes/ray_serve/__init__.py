"""A graph online: the application that answers, its deployment, and the flip."""
