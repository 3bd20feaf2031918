"""What one unit knows: the articles that it writes, and copies of those that other units share with the group.

An **article** is written in one unit: DRAFT → IN_REVIEW → PUBLISHED, back to DRAFT when its reviewer returns it, and
RETIRED at its end. Two persons stand behind every publication: nobody who wrote on a text can publish it. Changing a
published article opens the draft of its next version; until that is published too, the version before is still found.
So an article is a working text, a history of **publications**, which never change, and at most one of those in the
search.

A **copy** is an article of another unit, under its own name. It comes over the link when that unit publishes for the
group, with the texts that the policy's sharing rules grant; a newer version replaces it, and it leaves the search when
it is retired or no longer shared. It is read here and never written: each fact has one writer.

Articles are also drafted by themselves: when an agent of this unit delivers a solution to another unit, the delivery
becomes a draft, once per engagement. Somebody still has to review it.

- `model`: the tables, the states, the allowed transitions. `messages`: rows as messages, and back.
- `commands`: what writers and reviewers may do. `effects`: what this unit does about what others tell it.
- `words`: how Chinese, German and English become the same kind of words. `search`: the index, and asking it.
- `queries`: what may be asked. `servicer`, `reactions`: the two doors.
- `restoring`: articles come back after a restore. `erasing`: drafts go when their ticket is erased.

When something fails: a command that can't be done changes nothing. A copy whose facts come late or out of order is only
ever replaced by a newer version. The index is derived: it is written in the transaction that publishes, and can be made
again from the publications.
"""
