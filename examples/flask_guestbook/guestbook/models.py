"""The book."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables."""


db = SQLAlchemy(model_class=Base)


class Entry(db.Model):
    """What a visitor has written."""

    __tablename__ = "guestbook_entries"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    text: Mapped[str]
    state: Mapped[str] = mapped_column(default="new")
