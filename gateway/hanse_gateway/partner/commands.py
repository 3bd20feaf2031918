"""Admitting partners.

A command's answer is stored for whoever repeats the request, so it must not hold the key, and neither must the request.
The key is therefore made outside, and a command is made for its digest: the key is never written anywhere.
"""

from hanse.errors import ResourceAlreadyExists, ResourceNotFound
from hanse.names import PARTNERS
from hanse.times import timestamp
from hanse.work import Command, Work
from hanse_gateway.model import Partner
from hanse_protos.gateway.v1 import gateway_pb2 as pb


def admitting(key_digest: bytes) -> Command[pb.CreatePartnerRequest, pb.Partner]:
    """Return the command that admits a partner with the key of this digest."""

    def create_partner(work: Work, request: pb.CreatePartnerRequest) -> pb.Partner:
        """Admit a partner. Raises ResourceAlreadyExists."""
        name = f"{PARTNERS}{request.partner_id}"
        if work.session.get(Partner, name, with_for_update=True):
            raise ResourceAlreadyExists(resource=name)
        partner = Partner(
            name=name,
            title=request.partner.title,
            key_digest=key_digest,
            key_time=work.now,
            create_time=work.now,
        )
        work.session.add(partner)
        work.tell(name, pb.PartnerAdmitted(partner=name))
        return _to_proto(partner)

    return create_partner


def rotating(key_digest: bytes) -> Command[pb.RotatePartnerKeyRequest, pb.Partner]:
    """Return the command that gives a partner the key of this digest."""

    def rotate_partner_key(work: Work, request: pb.RotatePartnerKeyRequest) -> pb.Partner:
        """Give a partner a new key; the old one is void. Raises ResourceNotFound."""
        partner = work.session.get(Partner, request.name, with_for_update=True)
        if partner is None:
            raise ResourceNotFound(resource=request.name)
        partner.key_digest, partner.key_time = key_digest, work.now
        work.tell(partner.name, pb.PartnerKeyRotated(partner=partner.name))
        return _to_proto(partner)

    return rotate_partner_key


def _to_proto(partner: Partner) -> pb.Partner:
    return pb.Partner(name=partner.name, title=partner.title, create_time=timestamp(partner.create_time))
