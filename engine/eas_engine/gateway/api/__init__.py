"""The admin API, ``/api/v1``: its pages by subject, each declared with its parameters and answers.

``page`` says what a page is and makes routes of them, ``parameters`` what may stand behind the ``?``;
``reading``, ``changing`` and ``following`` are the pages. ``openapi`` and ``schemas`` describe them for
programs, out of the same declarations.
"""
