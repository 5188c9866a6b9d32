package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// The bounds of the server: whatever clients do, it holds this many
// connections of this size for this long.
const (
	maxConnections = 32
	maxHeader      = 8 << 10 // bytes
	readTimeout    = 5 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 30 * time.Second
	changeTimeout  = 20 * time.Second
	maxBody        = 1 << 20 // bytes
)

// Serve answers on a unix socket until ctx ends. The socket belongs to the
// agent's user and group, mode 0660; one that a dead agent left is replaced.
func Serve(ctx context.Context, socket string, backend Backend, log *slog.Logger) error {
	listener, err := listen(socket)
	if err != nil {
		return err
	}
	defer os.Remove(socket)
	server := newServer(backend, log)
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(limit(listener, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}

func newServer(backend Backend, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler(backend),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// listen makes the socket aside and renames it into place, so that nobody ever
// connects to one with the wrong mode.
func listen(socket string) (net.Listener, error) {
	aside := socket + ".new"
	if err := os.Remove(aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: aside, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	listener.SetUnlinkOnClose(false)
	if err = os.Chmod(aside, 0o660); err == nil {
		err = os.Rename(aside, socket)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the control socket: %w", err), listener.Close(), os.Remove(aside))
	}
	return listener, nil
}

func handler(b Backend) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathAgent, get(func(*http.Request) (Agent, error) { return b.Agent(), nil }))
	mux.HandleFunc("GET "+pathPseudowires, get(func(*http.Request) ([]Pseudowire, error) { return b.Pseudowires(), nil }))
	mux.HandleFunc("GET "+pathNeighbors, get(func(*http.Request) ([]Neighbor, error) { return b.Neighbors(), nil }))
	mux.HandleFunc("GET "+pathRoutes, get(func(*http.Request) ([]Route, error) { return b.Routes(), nil }))
	mux.HandleFunc("GET "+pathCounters, get(func(*http.Request) ([]Counters, error) { return b.Counters() }))
	mux.HandleFunc("GET "+pathSessions, get(func(r *http.Request) ([]Session, error) {
		return b.Sessions(r.URL.Query().Get("cookies") == "true")
	}))
	mux.HandleFunc("POST "+pathReload, get(func(r *http.Request) (struct{}, error) {
		ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
		defer cancel()
		return struct{}{}, b.Reload(ctx)
	}))
	mux.HandleFunc("POST "+pathRotate, get(func(r *http.Request) (rotation, error) {
		ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
		defer cancel()
		var wanted rotation
		if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&wanted); err != nil {
			return rotation{}, &Refused{fmt.Sprintf("read the request: %v", err)}
		}
		done, err := b.RotateCookies(ctx, wanted.Pseudowires, wanted.All)
		return rotation{Pseudowires: done}, err
	}))
	return mux
}

// get answers with what a function returns.
func get[T any](read func(*http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := read(r)
		var invalid *InvalidConfig
		var refused *Refused
		switch {
		case errors.As(err, &invalid):
			answer(w, http.StatusUnprocessableEntity, failure{invalid.Message})
		case errors.As(err, &refused):
			answer(w, http.StatusConflict, failure{refused.Message})
		case err != nil:
			answer(w, http.StatusInternalServerError, failure{err.Error()})
		default:
			answer(w, http.StatusOK, value)
		}
	}
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that has gone away is no concern of the agent.
	_ = json.NewEncoder(w).Encode(value)
}
