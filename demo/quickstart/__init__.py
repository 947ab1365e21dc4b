"""The quickstart: fetch, train two adapters apart, combine, evaluate, answer one question, write a page."""
