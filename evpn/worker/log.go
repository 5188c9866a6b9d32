package worker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/osrg/gobgp/v3/pkg/log"
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

// Debug logs a detail.
func (l logger) Debug(message string, fields log.Fields) { l.write(slog.LevelDebug, message, fields) }

// SetLevel does nothing: the level is the parent's choice.
func (l logger) SetLevel(log.LogLevel) {}

// GetLevel lets GoBGP skip the formatting of details that nobody reads.
func (l logger) GetLevel() log.LogLevel {
	if l.out.Enabled(context.Background(), slog.LevelDebug) {
		return log.DebugLevel
	}
	return log.InfoLevel
}

func (l logger) write(level slog.Level, message string, fields log.Fields) {
	ctx := context.Background()
	if !l.out.Enabled(ctx, level) {
		return
	}
	var attrs []slog.Attr
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		attrs = append(attrs, slog.String(fieldName(key), fieldValue(fields[key])))
	}
	l.out.LogAttrs(ctx, level, message, attrs...)
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
