"""Pages for the browser: the data, the run and its mistakes."""

NAME = "report.html"
