"""One evaluation: plan it, ask the model, score the answers."""
