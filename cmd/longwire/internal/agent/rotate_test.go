package agent

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/dataplane/fake"
	"longwire/evpn"
	"longwire/evpn/speaker"
)

// rotate asks for a new cookie of the one pseudowire.
func (b *bench) rotate() {
	b.t.Helper()
	if names, err := b.agent.RotateCookies(context.Background(), []string{"a"}, false); err != nil || len(names) != 1 {
		b.t.Fatalf("rotate: %v, %v", names, err)
	}
}

// late counts frames that came with the previous cookie.
func (b *bench) late(frames uint64) {
	b.plane.SetCounters("a", dataplane.Counters{PreviousCookie: frames})
}

// cookies checks what is accepted: whether the previous cookie is, and that the
// announced cookie is the installed one.
func (b *bench) cookies(when string, previous bool) {
	b.t.Helper()
	r := b.plane.State().Receive[555555]
	ads := b.speaker().last()
	if len(ads) != 1 || string(ads[0].Cookie) != string(r.Cookie.Bytes()) {
		b.t.Errorf("%s: announced %+v, accepted %+v", when, ads, r)
	}
	if r.AcceptPrevious != previous || (b.status().CookieRotated != nil) != previous {
		b.t.Errorf("%s: accepts %+v and shows %v, want the previous cookie %v", when, r, b.status().CookieRotated, previous)
	}
}

// Both cookies are accepted before the new one is announced, and the old one
// until nobody has used it for the hold.
func TestRotateCookie(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		old := b.plane.State().Receive[555555].Cookie
		b.plane.Reset()
		b.speaker().set(func(s *fakeSpeaker) {
			s.announced = func(ads []evpn.Advertisement) {
				if r := b.plane.State().Receive[555555]; string(ads[0].Cookie) != string(r.Cookie.Bytes()) || r.Previous != old {
					t.Errorf("announced %x while %+v is accepted", ads[0].Cookie, r)
				}
			}
		})
		b.rotate()
		b.cookies("rotated", true)
		want := []string{"rotate of a", "identity of a", "put receive 555555 on 3 of a"}
		if diff := cmp.Diff(want, b.plane.Writes()[1:]); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		if now := b.plane.State().Receive[555555]; now.Cookie == old || now.Previous != old {
			t.Errorf("cookies are %v and %v, the old one was %v", now.Cookie, now.Previous, old)
		}
		b.speaker().set(func(s *fakeSpeaker) { s.announced = nil })

		b.wait(40 * time.Second)
		b.late(3)
		b.wait(cookieHold - 10*time.Second)
		b.cookies("50 s after the last frame at the most", true)
		b.wait(cookieHold/4 + 10*time.Second)
		b.cookies("a minute after it was seen", false)
		if id := b.plane.Identities()["a"]; !id.Rotated.IsZero() || id.Previous.Len() != 0 {
			t.Errorf("identity %+v", id)
		}
		b.expect("throughout", "up", "", "signalled")
		b.rotate()
		b.cookies("rotated again", true)
	})
}

func TestRotateIsRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*config.Config)
		names  []string
		all    bool
		want   string
	}{
		{"unknown", nil, []string{"a", "b"}, false, "there is no pseudowire b"},
		{"static", func(c *config.Config) { c.Pseudowires[0] = staticConfig().Pseudowires[0] }, []string{"a"}, false, "a is not signalled: its cookies are static.local_cookie and previous_local_cookie in the configuration"},
		{"no cookie", func(c *config.Config) { c.Pseudowires[0].CookieLength = 0 }, []string{"a"}, false, "a has no cookie: cookie is 0 in the configuration"},
		{"all of none", func(c *config.Config) { c.Pseudowires[0].CookieLength = 0 }, nil, true, "no pseudowire has a cookie of its own: none is signalled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := signalledConfig()
			if tt.change != nil {
				cfg = edit(cfg, tt.change)
			}
			scene(t, cfg, func(b *bench) {
				b.plane.Reset()
				_, err := b.agent.RotateCookies(context.Background(), tt.names, tt.all)
				var refused *api.Refused
				if !errors.As(err, &refused) || refused.Message != tt.want {
					t.Errorf("rotate: %v, want %q", err, tt.want)
				}
				for _, c := range b.plane.Calls() {
					if c.Op == fake.OpRotate {
						t.Errorf("and yet: %v", c)
					}
				}
			})
		})
	}
}

func TestSecondRotationIsRefused(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.rotate()
		before := b.plane.Identities()["a"]
		for _, all := range []bool{false, true} {
			names := []string{"a"}
			if all {
				names = nil
			}
			_, err := b.agent.RotateCookies(context.Background(), names, all)
			if err == nil || !strings.HasPrefix(err.Error(), "a has had a new cookie since ") || !strings.HasSuffix(err.Error(), ", and the previous one is still accepted: wait until it is retired") {
				t.Errorf("rotate: %v", err)
			}
		}
		if b.plane.Identities()["a"] != before {
			t.Error("the identity changed")
		}
	})
}

// The rotation is the data plane's: an agent that dies leaves both cookies, and
// the next one begins the hold anew.
func TestRotationOutlivesTheAgent(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		b.rotate()
		b.wait(cookieHold - 5*time.Second)
		accepted := b.plane.State().Receive[555555]
		b.restart()
		b.send(route(peer1), of(speaker.EndOfRIB, peer1), of(speaker.EndOfRIB, peer2))
		if b.plane.State().Receive[555555] != accepted {
			t.Errorf("the restart changed %+v to %+v", accepted, b.plane.State().Receive[555555])
		}
		b.cookies("restarted", true)
		b.wait(cookieHold / 2)
		b.cookies("half a hold later", true)
		b.wait(cookieHold)
		b.cookies("a hold later", false)
	})
}

// While nobody hears us the far ends cannot switch, so the hold does not run.
func TestNobodyHearsTheNewCookie(t *testing.T) {
	scene(t, signalledConfig(), func(b *bench) {
		b.send(route(peer1))
		b.speaker().set(func(s *fakeSpeaker) { s.state = "active" })
		b.rotate()
		b.wait(10 * cookieHold)
		b.cookies("without a session", true)
		b.speaker().set(func(s *fakeSpeaker) { s.state = "established" })
		b.wait(cookieHold / 2)
		b.cookies("heard for half a hold", true)
		b.wait(cookieHold)
		b.cookies("heard for long", false)
	})
}

func TestRotationFaults(t *testing.T) {
	t.Run("the new cookie cannot be installed", func(t *testing.T) {
		scene(t, signalledConfig(), func(b *bench) {
			b.send(route(peer1))
			old := b.plane.State().Receive[555555].Cookie
			b.plane.Fail(fake.On(fake.OpPutReceive, syscall.EIO))
			b.rotate()
			b.expect("refused", "blocked", "program_failed", "signalled")
			b.wait(10 * cookieHold)
			ads := b.speaker().last()
			if len(ads) != 1 || string(ads[0].Cookie) != string(old.Bytes()) || b.plane.Identities()["a"].Rotated.IsZero() {
				t.Errorf("announced %+v with identity %+v", ads, b.plane.Identities()["a"])
			}
			b.plane.Heal()
			b.wait(retry)
			b.cookies("healed", true)
			b.expect("healed", "up", "", "signalled")
		})
	})
	t.Run("the identity cannot be written", func(t *testing.T) {
		scene(t, signalledConfig(), func(b *bench) {
			b.plane.Fail(fake.On(fake.OpRotate, syscall.EIO))
			if _, err := b.agent.RotateCookies(context.Background(), nil, true); !errors.Is(err, syscall.EIO) {
				t.Errorf("rotate: %v", err)
			}
			b.cookies("not rotated", false)
		})
	})
	for _, op := range []fake.Op{fake.OpRetire, fake.OpCounters} {
		t.Run(string(op)+" fails", func(t *testing.T) {
			scene(t, signalledConfig(), func(b *bench) {
				b.send(route(peer1))
				b.rotate()
				b.plane.Fail(fake.On(op, syscall.EIO))
				b.wait(10 * cookieHold)
				b.cookies("with the fault", true)
				b.plane.Heal()
				b.wait(2 * cookieHold)
				b.cookies("healed", false)
			})
		})
	}
}
