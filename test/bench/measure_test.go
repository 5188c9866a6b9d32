package main

import "testing"

func TestParseFlood(t *testing.T) {
	got, err := parseFlood("20000 packets transmitted, 20000 received, 0% packet loss, time 110ms\nrtt min/avg/max/mdev = 0.004/0.005/0.1/0.002 ms\n")
	if err != nil || got != 5.5 {
		t.Errorf("%v microseconds, error %v", got, err)
	}
	for _, out := range []string{"", "3 packets transmitted, 0 received, 100% packet loss, time 9ms"} {
		if _, err := parseFlood(out); err == nil {
			t.Errorf("no error for %q", out)
		}
	}
}

func TestParseTCP(t *testing.T) {
	got, err := parseTCP(`{"end": {"sum_received": {"bits_per_second": 5e9}}}`)
	if err != nil || got != 5e9 {
		t.Errorf("%v bits per second, error %v", got, err)
	}
	for _, out := range []string{"", "{}", `{"error": "unable to connect to server"}`} {
		if _, err := parseTCP(out); err == nil {
			t.Errorf("no error for %q", out)
		}
	}
}
