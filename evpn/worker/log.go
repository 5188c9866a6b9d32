package worker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// maxFieldLength bounds one logged value in bytes: GoBGP logs whole paths, and
// a peer chooses how long they are.
const maxFieldLength = 300

// logger passes GoBGP's log lines to slog.
type logger struct{ out *slog.Logger }

func newLogger(out *slog.Logger) log.Logger { return logger{out} }

// Panic logs and panics, as GoBGP expects.
func (l logger) Panic(message string, fields log.Fields) {
	l.write(slog.LevelError, message, fields)
	panic(message)
}

// Fatal logs and ends the process, as GoBGP expects.
func (l logger) Fatal(message string, fields log.Fields) {
	l.write(slog.LevelError, message, fields)
	os.Exit(1)
}

// Error logs an error.
func (l logger) Error(message string, fields log.Fields) { l.write(slog.LevelError, message, fields) }

// Warn logs a warning.
func (l logger) Warn(message string, fields log.Fields) { l.write(slog.LevelWarn, message, fields) }

// Info logs an event.
func (l logger) Info(message string, fields log.Fields) { l.write(slog.LevelInfo, message, fields) }

// Debug logs a detail. Why a connection cannot be made is more than a detail to
// the parent, which asks for it nowhere else.
func (l logger) Debug(message string, fields log.Fields) {
	level := slog.LevelDebug
	if message == "failed to connect" {
		level = slog.LevelInfo
	}
	l.write(level, message, fields)
}

// SetLevel does nothing: the level is the parent's choice.
func (l logger) SetLevel(log.LogLevel) {}

// GetLevel makes GoBGP call Debug, which knows what is wanted.
func (l logger) GetLevel() log.LogLevel { return log.DebugLevel }

func (l logger) write(level slog.Level, message string, fields log.Fields) {
	ctx := context.Background()
	if !l.out.Enabled(ctx, level) {
		return
	}
	var attrs []slog.Attr
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if e, ok := fields[key].(*bgp.MessageError); ok && e != nil {
			attrs = append(attrs, notification(e)...)
			continue
		}
		attrs = append(attrs, slog.String(fieldName(key), fieldValue(fields[key])))
	}
	l.out.LogAttrs(ctx, level, message, attrs...)
}

// notification is what a NOTIFICATION says that GoBGP sends for an error: its
// codes as GoBGP logs those of others, and the cause.
func notification(e *bgp.MessageError) []slog.Attr {
	return []slog.Attr{
		slog.String("code", strconv.Itoa(int(e.TypeCode))), slog.String("subcode", strconv.Itoa(int(e.SubTypeCode))),
		slog.String("message", fieldValue(e.Message)),
	}
}

// fieldName makes "Remote Addr" and "PeerAS" keys of our own style; "Key" is the
// neighbour in nearly every line.
func fieldName(key string) string {
	if key == "Key" {
		return "neighbor"
	}
	return strings.ReplaceAll(strings.ToLower(key), " ", "_")
}

// fieldValue prints a value. It may be data of a peer in a type of GoBGP whose
// printer panics; fmt catches that.
func fieldValue(v any) string {
	s := fmt.Sprint(v)
	if len(s) > maxFieldLength {
		s = s[:maxFieldLength] + "…"
	}
	return s
}
