"""Extensions for MkDocs, which builds the documentation as a site from the pages in docs/."""
