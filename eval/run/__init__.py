"""One evaluation: plan every task, ask the model, build the results."""
