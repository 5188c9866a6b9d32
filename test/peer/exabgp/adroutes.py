#!/usr/bin/python3
"""Runs ExaBGP 4.2 with one more command in the section l2vpn of its
configuration, for Ethernet A-D routes (RFC 7432 section 7.1):

    ethernet-ad rd 192.0.2.2:1 esi 00000000000000000000 tag 102 label 3
        next-hop 192.0.2.2 extended-community [ 0x... ]
        attribute [ 0x17 0xc0 0x... ];

ExaBGP can read and write these routes, but its configuration has no words for
them. It also takes IPv6 addresses as next hops of EVPN routes here (RFC 7432
section 9.2), over which it would reset the session. Nothing else of it is
changed: sessions, capabilities, attributes and messages are its own. esi is ten
bytes in hexadecimal; extended-community and attribute may be repeated.
"""
import sys

from exabgp.application import run_exabgp
from exabgp.bgp.message import OUT
from exabgp.bgp.message.update.attribute import Attributes
from exabgp.bgp.message.update.nlri.evpn.ethernetad import EthernetAD
from exabgp.bgp.message.update.nlri.qualifier import ESI, EthernetTag
from exabgp.configuration.l2vpn import ParseL2VPN
from exabgp.configuration.static import parser
from exabgp.configuration.static.mpls import label, route_distinguisher
from exabgp.protocol.family import AFI, SAFI, Family
from exabgp.protocol.ip import IP
from exabgp.rib.change import Change

# The sizes that a next hop may have, and the size of its route distinguisher.
Family.size[(AFI.l2vpn, SAFI.evpn)] = ((4, 16), 0)

NLRI = {
    'rd': route_distinguisher,
    'esi': lambda tokens: ESI(bytes.fromhex(tokens())),
    'tag': lambda tokens: EthernetTag(int(tokens())),
    'label': label,
    'next-hop': lambda tokens: IP.create(tokens()),
}
ATTRIBUTES = {
    'origin': parser.origin,
    'local-preference': parser.local_preference,
    'as-path': parser.as_path,
    'originator-id': parser.originator_id,
    'extended-community': parser.extended_community,
    'attribute': parser.attribute,
}


@ParseL2VPN.register('ethernet-ad', 'append-route')
def ethernet_ad(tokens):
    """Reads one route from the tokens of a line."""
    parts, attributes = {}, Attributes()
    while True:
        word = tokens()
        if not word:
            break
        if word in NLRI:
            parts[word] = NLRI[word](tokens)
        elif word in ATTRIBUTES:
            attributes.add(ATTRIBUTES[word](tokens))
        else:
            raise ValueError('ethernet-ad: unknown word "%s"' % word)
    nlri = EthernetAD(parts['rd'], parts['esi'], parts['tag'], parts['label'],
                      nexthop=parts['next-hop'], action=OUT.ANNOUNCE)
    return [Change(nlri, attributes)]


if __name__ == '__main__':
    sys.exit(run_exabgp())
