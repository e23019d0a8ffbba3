// A function in Go without AWS's module: the Runtime API by net/http, with the hook around a snapshot.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"time"
)

var api = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/"

type reply struct {
	Message string          `json:"message"`
	Drawn   uint32          `json:"drawn"`
	Event   json.RawMessage `json:"event"`
}

func handle(id string, event json.RawMessage) (any, error) {
	fmt.Println("asked by", id)
	if !json.Valid(event) {
		return nil, fmt.Errorf("the event is no JSON")
	}
	return reply{"hello from Go", rand.Uint32(), event}, nil
}

// One connection serves for good when every answer is read to its end.
func call(answer *http.Response, err error) (*http.Response, []byte) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return answer, body
}

func post(path string, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		body = []byte(`{"errorType":"Runtime.MarshalError","errorMessage":"the result is not JSON"}`)
	}
	call(http.Post(api+path, "application/json", bytes.NewReader(body)))
}

func main() {
	// Whoever asks restore/next is snapshotted there. All environments start from that snapshot, math/rand's
	// state included: it is seeded where they part. (crypto/rand asks the kernel every time.)
	call(http.Get(api + "restore/next"))
	rand.Seed(time.Now().UnixNano())

	for {
		next, event := call(http.Get(api + "invocation/next"))
		id := next.Header.Get("Lambda-Runtime-Aws-Request-Id")
		result, err := handle(id, event)
		if err != nil {
			post("invocation/"+id+"/error", map[string]string{"errorType": "Error", "errorMessage": err.Error()})
		} else {
			post("invocation/"+id+"/response", result)
		}
	}
}
