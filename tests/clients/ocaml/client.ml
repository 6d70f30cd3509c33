(* What an OCaml user of Mergent does with cohttp: a task in five minutes. The library sends a string body chunked
   and names no content type; nothing here asks for either. Prints the status and the body of the answer. *)

let () =
  let open Lwt.Infix in
  let uri = Uri.of_string (Sys.getenv "MERGENT_URL" ^ "/v2/tasks") in
  let headers = Cohttp.Header.init_with "Authorization" ("Bearer " ^ Sys.getenv "MERGENT_API_KEY") in
  let task = Printf.sprintf {|{"request": {"url": %S, "body": "Hello, world!"}, "delay": "PT5M"}|} Sys.argv.(1) in
  Lwt_main.run
    ( Cohttp_lwt_unix.Client.post ~headers ~body:(Cohttp_lwt.Body.of_string task) uri
    >>= fun (response, body) ->
      Cohttp_lwt.Body.to_string body >>= fun text ->
      Lwt_io.printf "%d\n%s\n" (Cohttp.Code.code_of_status (Cohttp.Response.status response)) text )
