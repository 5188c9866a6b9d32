package speaker

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// stations notes the BMP stations that gobgpd is told to forget.
type stations struct {
	api.GobgpApiClient
	deleted []uint32
}

func (s *stations) DeleteBmp(_ context.Context, r *api.DeleteBmpRequest, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	s.deleted = append(s.deleted, r.Port)
	return nil, errors.New("no such station") // as of a gobgpd that was restarted
}

// The station of an agent that was killed goes when the next one comes.
func TestReplaceStation(t *testing.T) {
	dir, client := t.TempDir(), &stations{}
	e := &engine{api: client}
	for _, port := range []uint32{4001, 4002} {
		if err := e.replaceStation(t.Context(), dir, port); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, stationFile), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.replaceStation(t.Context(), dir, 4003); err != nil {
		t.Fatal(err)
	}
	if err := e.replaceStation(t.Context(), dir, 4004); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint32{4001, 4003}, client.deleted); diff != "" {
		t.Errorf("deleted stations (-want +got):\n%s", diff)
	}
	if err := e.replaceStation(t.Context(), dir+"/absent", 4005); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the directory: %v", err)
	}
}

// What is wrong with the gRPC interface of a gobgpd is said in one line.
func TestReach(t *testing.T) {
	dir := t.TempDir()
	listen := func(name string) string {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return "unix://" + l.Addr().String()
	}
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		target string
		is     error
		says   string
	}{
		"there":      {target: listen("good")},
		"no socket":  {"unix://" + dir + "/absent", syscall.ENOENT, "it does not run, or has other --api-hosts"},
		"not a one":  {"unix://" + dir, syscall.ECONNREFUSED, "it does not run"},
		"nobody":     {dead.Addr().String(), syscall.ECONNREFUSED, "it does not run"},
		"too long":   {"unix://" + dir + strings.Repeat("/long", 40), syscall.EINVAL, "reach gobgpd: dial unix"},
		"no address": {"192.0.2.1", nil, "missing port"},
	} {
		err := reach(t.Context(), tt.target)
		switch {
		case tt.says == "" && err != nil, tt.says != "" && err == nil,
			err != nil && !strings.Contains(err.Error(), tt.says),
			tt.is != nil && !errors.Is(err, tt.is):
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}
