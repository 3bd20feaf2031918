"""What units owe each other for engagements, in one unit's own double-entry ledger.

When the home unit confirms an engagement, the provider has earned a **charge**. One charge has one name in the whole
group and two legs, and each unit posts its own from the same fact: the home unit its *payable*, the provider its
*receivable*. Both compute the amount from the rate card of the policy version under which the engagement was asked
for, so both come to the same amount without asking each other; headquarters checks that they did. A rate may say that
it is what the ticket's service costs in the catalogue.

    at home          debit  expense/engagements/{provider}     credit payable/{provider}
    at the provider  debit  receivable/{home}                  credit revenue/engagements/{home}

A leg is either not there or **posted**, and then it never changes: what is wrong is corrected by another journal, as in
every ledger. The database itself keeps the promises that the ledger rests on, whoever writes to it: debits equal
credits in each journal and currency when a transaction commits; an entry is either a debit or a credit, and more than
nothing; nothing posted is ever changed or deleted; a leg of a charge is posted once.

When the policy version is not known here yet, the effect raises and its reaction tries again later; after several tries
the fact waits for a person as a dead letter, and nothing is posted meanwhile. A unit that served itself owes nobody.

`money` knows minor units, `currencies` how many decimals there are, `model` the tables, `commands` the posting,
`queries` the views, `messages` how rows look outside, `restoring` what comes back after a restore; `servicer` and
`reactions` are the two doors.
"""
