"""Intake: what came from outside becomes valid events in columns, or dead letters that say why not.

`schema` says what an event looks like, `values` what each kind of value may be (the one authority on it), `objects`
reads decoded objects, `lines` JSON, `columns` whole Arrow tables. All of them give the same answers.
"""
