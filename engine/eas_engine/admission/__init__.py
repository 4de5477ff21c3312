"""May this request come in? Decided when its head is complete: admitted or refused, never kept waiting."""
