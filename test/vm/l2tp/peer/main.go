// Command peer is the customer's host behind the kernel's end of a pseudowire:
// it sends and receives what a test tells it to, by HTTP.
//
//	POST /sum               the SHA-256 of the body
//	GET  /random?size=      so many bytes, and their SHA-256 in the header Sum
//	POST /send?device=      sends the body as a frame
//	GET  /seen              the test frames that came in by any device, as JSON
//	GET  /sessions          what the kernel's L2TP counts of its sessions, as JSON
package main

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"strconv"
)

func main() {
	listen := flag.String("listen", ":80", "address to listen on, every device's unless it names one")
	flag.Parse()
	frames, err := openFrames()
	if err != nil {
		log.Fatalf("packet socket: %v", err)
	}
	http.HandleFunc("POST /sum", sum)
	http.HandleFunc("GET /random", random)
	http.HandleFunc("POST /send", frames.send)
	http.HandleFunc("GET /seen", frames.list)
	http.HandleFunc("GET /sessions", func(w http.ResponseWriter, _ *http.Request) {
		sessions, err := sessions()
		answer(w, sessions, err)
	})
	log.Fatal(http.ListenAndServe(*listen, nil))
}

// answer writes a value as JSON, or the error.
func answer(w http.ResponseWriter, value any, err error) {
	if err == nil {
		err = json.NewEncoder(w).Encode(value)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func sum(w http.ResponseWriter, r *http.Request) {
	hash := sha256.New()
	if _, err := io.Copy(hash, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%x", hash.Sum(nil))
}

func random(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.Atoi(r.FormValue("size"))
	if err != nil || size < 0 || size > 1<<26 {
		http.Error(w, "size is no number of bytes up to 64 MiB", http.StatusBadRequest)
		return
	}
	var seed [32]byte
	body := make([]byte, size)
	if _, err := rand.NewChaCha8(seed).Read(body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Sum", fmt.Sprintf("%x", sha256.Sum256(body)))
	w.Header().Set("Content-Length", strconv.Itoa(size))
	_, _ = w.Write(body) // the client sees what is missing
}
