"""May this request come in? Decided at once, when its head is complete: admitted or refused, never kept waiting."""
