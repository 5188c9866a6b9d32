package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	clientTimeout = 35 * time.Second
	maxAnswer     = 256 << 20 // bytes
)

// Client asks an agent.
type Client struct {
	socket string
	http   http.Client
}

// NewClient returns a client of the agent on a socket; nothing is sent yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: http.Client{
		Timeout:   clientTimeout,
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}}
}

// Agent returns the state of the agent itself.
func (c *Client) Agent(ctx context.Context) (Agent, error) {
	return ask[Agent](ctx, c, http.MethodGet, pathAgent)
}

// Pseudowires returns the state of every pseudowire.
func (c *Client) Pseudowires(ctx context.Context) ([]Pseudowire, error) {
	return ask[[]Pseudowire](ctx, c, http.MethodGet, pathPseudowires)
}

// Sessions returns the entries of the kernel's session maps, with their cookies
// if asked for.
func (c *Client) Sessions(ctx context.Context, cookies bool) ([]Session, error) {
	path := pathSessions
	if cookies {
		path += "?cookies=true"
	}
	return ask[[]Session](ctx, c, http.MethodGet, path)
}

// Neighbors returns the state of every BGP session.
func (c *Client) Neighbors(ctx context.Context) ([]Neighbor, error) {
	return ask[[]Neighbor](ctx, c, http.MethodGet, pathNeighbors)
}

// Routes returns every received route.
func (c *Client) Routes(ctx context.Context) ([]Route, error) {
	return ask[[]Route](ctx, c, http.MethodGet, pathRoutes)
}

// Counters returns the totals of every pseudowire.
func (c *Client) Counters(ctx context.Context) ([]Counters, error) {
	return ask[[]Counters](ctx, c, http.MethodGet, pathCounters)
}

// Reload makes the agent apply its configuration file. The error is an
// *InvalidConfig when the file is refused; the agent then goes on as before.
func (c *Client) Reload(ctx context.Context) error {
	_, err := ask[struct{}](ctx, c, http.MethodPost, pathReload)
	return err
}

// RotateCookies gives pseudowires, or all that are signalled, new cookies and
// returns their names.
func (c *Client) RotateCookies(ctx context.Context, pseudowires []string, all bool) ([]string, error) {
	answer, err := send[rotation](ctx, c, http.MethodPost, pathRotate, rotation{pseudowires, all})
	return answer.Pseudowires, err
}

func ask[T any](ctx context.Context, c *Client, method, path string) (T, error) {
	return send[T](ctx, c, method, path, nil)
}

// send asks with a body, unless it is nil.
func send[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var value T
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return value, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://longwire"+path, content)
	if err != nil {
		return value, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return value, c.explain(err)
	}
	defer resp.Body.Close()
	answer := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK {
		return value, refusal(resp.StatusCode, answer)
	}
	if err := answer.Decode(&value); err != nil {
		return value, fmt.Errorf("read the answer of the agent: %w", err)
	}
	return value, nil
}

func refusal(status int, body *json.Decoder) error {
	var f failure
	if err := body.Decode(&f); err != nil || f.Error == "" {
		return fmt.Errorf("the agent answers %d %s", status, http.StatusText(status))
	}
	switch status {
	case http.StatusUnprocessableEntity:
		return &InvalidConfig{f.Error}
	case http.StatusConflict:
		return &Refused{f.Error}
	}
	return errors.New(f.Error)
}

// explain says what to do about a socket that does not answer.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no agent answers on %s: start longwire agent, or name its socket with --socket", c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("permission denied on %s: only root and the socket's group may ask the agent", c.socket)
	}
	return fmt.Errorf("ask the agent on %s: %w", c.socket, err)
}
