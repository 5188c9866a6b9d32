package plan

import (
	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
)

// customerTag is the EtherType of a customer's tag (IEEE 802.1Q).
const customerTag = 0x8100

// selecting is how many tags select the frames of a circuit.
func selecting(v dataplane.VLANs) int {
	switch id, single := v.Outer.Single(); {
	case v.Outer == "" || single && id == dataplane.Untagged:
		return 0
	case v.Inner != 0:
		return 2
	}
	return 1
}

// Crossing is how many of the tags that select a circuit's frames, or are added
// to them, cross with a frame. The customer's further ones are payload.
func Crossing(pw config.Pseudowire) int {
	switch n := selecting(pw.VLANs); pw.Tags.Mode {
	case config.TagsPop:
		return 0
	case config.TagsPush:
		return n + 1
	default:
		return n
	}
}

// ourTags are the tags that select a circuit's frames here, the first one
// outermost; none when that are not single ones.
func ourTags(pw config.Pseudowire) [2]dataplane.Tag {
	outer, single := pw.VLANs.Outer.Single()
	if !single || outer == dataplane.Untagged {
		return [2]dataplane.Tag{}
	}
	tags := [2]dataplane.Tag{{Type: pw.Tags.Type, VID: outer}}
	if pw.VLANs.Inner != 0 {
		tags[1] = dataplane.Tag{Type: customerTag, VID: pw.VLANs.Inner}
	}
	return tags
}

// imposition is what happens to tags before a frame crosses.
func imposition(pw config.Pseudowire) dataplane.Imposition {
	switch pw.Tags.Mode {
	case config.TagsPop:
		return dataplane.Imposition{Pop: uint8(selecting(pw.VLANs))}
	case config.TagsPush:
		return dataplane.Imposition{Push: dataplane.Tag{Type: pw.Tags.Type, VID: pw.Tags.Push}}
	default: // they cross, whatever the far end does with them
		return dataplane.Imposition{}
	}
}

// delivery is what happens to tags after a frame has crossed: this end gives it
// the tags that it has here (RFC 8214 section 2.1).
func delivery(pw config.Pseudowire) dataplane.Delivery {
	switch pw.Tags.Mode {
	case config.TagsTranslate:
		return dataplane.Delivery{Set: ourTags(pw)}
	case config.TagsPop:
		return dataplane.Delivery{Push: ourTags(pw)}
	case config.TagsPush:
		return dataplane.Delivery{Pop: 1}
	default:
		return dataplane.Delivery{}
	}
}
