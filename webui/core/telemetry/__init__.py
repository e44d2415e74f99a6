"""What is told of requests and answers to those who run the server: figures, log lines, traces.

Everything is measured once, in a `RequestRecord` and its `AnswerRecord`s; `meters`, `access_log` and `tracing` only
read them. None of it ever holds what was asked or answered.
"""
