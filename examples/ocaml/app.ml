(* A backend in OCaml with cohttp: an order is handled by a task, a moment later. SHA-256 stands here so that no
   library of cryptography is needed; a real backend has one. *)

open Lwt.Infix

let url = Sys.getenv "TIMEBALL_URL"
let key = Sys.getenv "TIMEBALL_KEY"
let port = try int_of_string (Sys.getenv "PORT") with Not_found -> 3000

let secret =
  let text = Sys.getenv "TIMEBALL_SIGNING_SECRET" in
  Base64.decode_exn (String.sub text 6 (String.length text - 6)) (* behind whsec_ *)

(* FIPS 180-4: the first 32 bits of the fractional parts of the roots of the first primes, counted in integers. *)
let primes =
  let rec from n found =
    if List.length found = 64 then List.rev found
    else from (n + 1) (if List.exists (fun p -> n mod p = 0) found then found else n :: found)
  in
  from 2 []

let mask x = x land 0xffffffff
let fraction root p =
  (* the whole part is below 256, so a double holds 32 bits of the fraction *)
  let r = root (float_of_int p) in
  int_of_float ((r -. floor r) *. 4294967296.)

let k = Array.of_list (List.map (fraction (fun x -> Float.cbrt x)) primes)
let first = Array.of_list (List.filteri (fun i _ -> i < 8) (List.map (fraction sqrt) primes))
let rotate x n = mask ((x lsr n) lor (x lsl (32 - n)))

let sha256 text =
  let size = String.length text in
  let padding = String.make (1 + ((119 - (size mod 64)) mod 64)) '\000' in
  let message = Bytes.of_string (text ^ padding ^ String.make 8 '\000') in
  Bytes.set message size '\x80';
  Bytes.set_int64_be message (Bytes.length message - 8) (Int64.of_int (size * 8));
  let h = Array.copy first in
  for block = 0 to (Bytes.length message / 64) - 1 do
    let w = Array.make 64 0 in
    for t = 0 to 63 do
      w.(t) <-
        (if t < 16 then mask (Int32.to_int (Bytes.get_int32_be message ((block * 64) + (t * 4))))
         else
           let a = w.(t - 15) and b = w.(t - 2) in
           let s0 = rotate a 7 lxor rotate a 18 lxor (a lsr 3) in
           let s1 = rotate b 17 lxor rotate b 19 lxor (b lsr 10) in
           mask (w.(t - 16) + s0 + w.(t - 7) + s1))
    done;
    let v = Array.copy h in
    for t = 0 to 63 do
      let a = v.(0) and e = v.(4) in
      let s1 = rotate e 6 lxor rotate e 11 lxor rotate e 25 in
      let choice = e land v.(5) lxor (lnot e land v.(6)) in
      let t1 = v.(7) + s1 + mask choice + k.(t) + w.(t) in
      let s0 = rotate a 2 lxor rotate a 13 lxor rotate a 22 in
      let majority = a land v.(1) lxor (a land v.(2)) lxor (v.(1) land v.(2)) in
      Array.blit v 0 v 1 7;
      v.(4) <- mask (v.(4) + t1);
      v.(0) <- mask (t1 + s0 + majority)
    done;
    Array.iteri (fun i x -> h.(i) <- mask (h.(i) + x)) v
  done;
  let out = Bytes.create 32 in
  Array.iteri (fun i x -> Bytes.set_int32_be out (i * 4) (Int32.of_int x)) h;
  Bytes.to_string out

let hmac key text =
  let key = if String.length key > 64 then sha256 key else key in
  let pad byte = String.init 64 (fun i -> Char.chr (byte lxor if i < String.length key then Char.code key.[i] else 0)) in
  sha256 (pad 0x5c ^ sha256 (pad 0x36 ^ text))

(* Every byte is looked at, wherever the first difference is. *)
let same a b =
  let wrong = ref (String.length a lxor String.length b) in
  String.iteri (fun i c -> if i < String.length b then wrong := !wrong lor (Char.code c lxor Char.code b.[i])) a;
  !wrong = 0

(* Standard Webhooks: HMAC-SHA256 over id.timestamp.body, no older than five minutes. *)
let is_ours headers body =
  match Cohttp.Header.(get headers "webhook-id", get headers "webhook-timestamp", get headers "webhook-signature") with
  | Some id, Some stamp, Some signatures -> (
      match float_of_string_opt stamp with
      | Some seconds when Float.abs (Unix.time () -. seconds) <= 300. ->
          let made = "v1," ^ Base64.encode_string (hmac secret (id ^ "." ^ stamp ^ "." ^ body)) in
          List.exists (same made) (String.split_on_char ' ' signatures)
      | _ -> false)
  | _ -> false

let quoted text =
  let out = Buffer.create 64 in
  String.iter
    (fun c ->
      if c = '"' || c = '\\' || c < ' ' then Printf.bprintf out "\\u%04x" (Char.code c) else Buffer.add_char out c)
    text;
  "\"" ^ Buffer.contents out ^ "\""

let order body =
  let headers =
    Cohttp.Header.of_list [ ("Authorization", "Bearer " ^ key); ("Content-Type", "application/json") ]
  in
  let task = Printf.sprintf {|{"request": {"url": "http://localhost:%d/hook", "body": %s}}|} port (quoted body) in
  Cohttp_lwt_unix.Client.post ~headers ~body:(Cohttp_lwt.Body.of_string task) (Uri.of_string (url ^ "/v2/tasks"))
  >>= fun (answer, content) ->
  Cohttp_lwt.Body.to_string content >>= fun body ->
  Cohttp_lwt_unix.Server.respond_string ~status:(Cohttp.Response.status answer) ~body ()

let handle _ request content =
  Cohttp_lwt.Body.to_string content >>= fun body ->
  match Uri.path (Cohttp.Request.uri request) with
  | "/orders" -> order body
  | "/hook" when is_ours (Cohttp.Request.headers request) body ->
      Printf.printf "handled %s\n%!" body;
      Cohttp_lwt_unix.Server.respond_string ~status:`No_content ~body:"" ()
  | "/hook" -> Cohttp_lwt_unix.Server.respond_string ~status:`Unauthorized ~body:"" ()
  | _ -> Cohttp_lwt_unix.Server.respond_not_found ()

let () =
  let server = Cohttp_lwt_unix.Server.make ~callback:handle () in
  Lwt_main.run (Cohttp_lwt_unix.Server.create ~mode:(`TCP (`Port port)) server)
