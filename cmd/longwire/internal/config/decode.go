package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// place is where a value stands in the file.
type place struct {
	Line int
	Key  string
}

func (p *place) put(q place) { *p = q }

// present says whether the file holds the value at all.
func (p place) present() bool { return p.Line > 0 }

// scalar is one value as it is written. Its text is not interpreted by YAML, so
// 0123 stays 0123.
type scalar struct {
	place
	text string
}

// scalars is one value or a list of them.
type scalars []scalar

// decoder copies a YAML tree into raw structs. A struct field with the tag
// `key:"name"` is a key; everything else in the file is an error.
type decoder struct{ *report }

var (
	scalarType  = reflect.TypeFor[scalar]()
	scalarsType = reflect.TypeFor[scalars]()
)

// value decodes one node into dst, which is a scalar, scalars, a pointer to a
// raw struct or a slice of raw structs.
func (d decoder) value(n *yaml.Node, at place, dst reflect.Value) {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.add(at, "YAML anchors and aliases are not accepted", "write the value out")
	case dst.Type() == scalarType:
		if s, ok := d.scalar(n, at); ok {
			dst.Set(reflect.ValueOf(s))
		}
	case dst.Type() == scalarsType:
		d.scalars(n, at, dst)
	case dst.Kind() == reflect.Slice:
		d.list(n, at, dst)
	case isNull(n): // an empty section is the same as none
	default:
		p := reflect.New(dst.Type().Elem())
		d.mapping(n, at, p.Elem())
		dst.Set(p)
	}
}

func (d decoder) scalar(n *yaml.Node, at place) (scalar, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.add(at, "must be a single value, not a "+kindName(n), "")
	case isNull(n):
		d.add(at, "has no value", "give one or remove the key")
	default:
		return scalar{at, n.Value}, true
	}
	return scalar{}, false
}

func (d decoder) scalars(n *yaml.Node, at place, dst reflect.Value) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
		if len(items) == 0 {
			d.add(at, "is an empty list", "give one or more values or remove the key")
		}
	}
	var list scalars
	for i, item := range items {
		itemAt := at
		if n.Kind == yaml.SequenceNode {
			itemAt = place{item.Line, fmt.Sprintf("%s[%d]", at.Key, i)}
		}
		var s scalar
		d.value(item, itemAt, reflect.ValueOf(&s).Elem())
		if s.present() {
			list = append(list, s)
		}
	}
	dst.Set(reflect.ValueOf(list))
}

func (d decoder) list(n *yaml.Node, at place, dst reflect.Value) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.add(at, "must be a list, not a "+kindName(n), "begin each entry with \"- \"")
		return
	}
	for i, item := range n.Content {
		entry := reflect.New(dst.Type().Elem())
		d.mapping(item, place{item.Line, fmt.Sprintf("%s[%d]", at.Key, i)}, entry.Elem())
		dst.Set(reflect.Append(dst, entry.Elem()))
	}
}

// mapping decodes the keys of one mapping into the struct dst.
func (d decoder) mapping(n *yaml.Node, at place, dst reflect.Value) {
	if p, ok := dst.Addr().Interface().(interface{ put(place) }); ok {
		p.put(at)
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.add(at, "YAML anchors and aliases are not accepted", "write the value out")
		return
	}
	if n.Kind != yaml.MappingNode {
		d.add(at, "must be a mapping of keys, not a "+kindName(n), "")
		return
	}
	fields := fieldsByKey(dst.Type())
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, node := n.Content[i], n.Content[i+1]
		keyAt := place{name.Line, join(at.Key, name.Value)}
		if first, twice := seen[name.Value]; twice {
			d.add(keyAt, fmt.Sprintf("is given twice, first on line %d", first), "keep one of them")
			continue
		}
		seen[name.Value] = name.Line
		if field, known := fields[name.Value]; known {
			d.value(node, keyAt, dst.Field(field))
		} else {
			d.unknown(keyAt, name.Value, fields)
		}
	}
}

func (d decoder) unknown(at place, name string, fields map[string]int) {
	var known []string
	for key := range fields {
		known = append(known, key)
	}
	slices.Sort(known)
	d.add(at, fmt.Sprintf("unknown key %q", name), "the keys here are "+strings.Join(known, ", "))
}

// fieldsByKey returns the index of each tagged field of a raw struct.
func fieldsByKey(t reflect.Type) map[string]int {
	fields := map[string]int{}
	for i := range t.NumField() {
		if key, ok := t.Field(i).Tag.Lookup("key"); ok {
			fields[key] = i
		}
	}
	return fields
}

func join(parent, key string) string {
	if parent == "" {
		return key
	}
	return parent + "." + key
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	case yaml.AliasNode:
		return "YAML alias"
	default:
		return "single value"
	}
}
