using System.Text.Json.Serialization;
using Berth.Api.Rollouts;

namespace Berth.Api.Functions;

/// <summary>What is to be a function, or its next revision. What is null is left to the image or to the server's
/// defaults; amounts are written as on the command line, for instance <c>256Mi</c>, <c>0.5</c> and <c>10s</c>.
/// </summary>
/// <param name="Image">A reference; what its tag means now is what every call of the revision runs.</param>
/// <param name="Command">Replaces the image's ENTRYPOINT and CMD.</param>
/// <param name="Arguments">Replaces the image's CMD.</param>
/// <param name="PassArguments">Calls may bring arguments, which come after these.</param>
/// <param name="Network"><c>none</c> or <c>host</c>.</param>
/// <param name="Timeout">Of a whole call, waiting included; of an attempt of one that nobody waits for.</param>
/// <param name="OutputLimit">Bytes of output after which a call is ended.</param>
/// <param name="ContentType">Media type of the answer.</param>
/// <param name="Attempts">Of a call that nobody waits for.</param>
/// <param name="RetryFailures">Such a call is tried again also after the program itself failed; not with http.</param>
/// <param name="MaxRunning">Synchronous calls of the revision at once; 0 or null for as many as the server has places.
/// </param>
/// <param name="MaxWaiting">Calls that may wait for one of those; null for 1,000.</param>
/// <param name="Traffic">Percent of the calls that the new revision gets; null for all of them.</param>
/// <param name="Tag">A name that reaches the new revision alone, as <c>NAME@TAG</c>.</param>
/// <param name="Runtime">Name of an OCI runtime that the operator has registered; null for the server's
/// own.</param>
/// <param name="Contract">How a call reaches the program: <c>stdio</c>, a program for each call that reads the body and
/// writes the answer; <c>http</c>, instances that listen on a port and get many calls; <c>lambda</c>, instances that
/// ask AWS Lambda's Runtime API for one call after the other. Null for lambda where the image is made for that, for
/// http where it exposes a TCP port, and for stdio otherwise. What follows is of instances alone.</param>
/// <param name="Port">The program listens on; null for the one that the image exposes, else 8080. With http.</param>
/// <param name="Probe">Path that answers 200 to 399 once an instance can take calls; null where it is enough that the
/// port takes connections. With http.</param>
/// <param name="Concurrency">Calls that an instance gets at once; null for 80. With http; and of a reused sandbox,
/// null for 1.</param>
/// <param name="MinInstances">Kept without calls; null for none.</param>
/// <param name="MaxInstances">At most; null for 20.</param>
/// <param name="Target">Percent of the concurrency at which another instance is wanted; null for 70.</param>
/// <param name="Idle">Without calls, after which the last instance ends; null for 5 minutes.</param>
/// <param name="ScaleDownDelay">How long fewer must do before there are fewer; null for 30 s.</param>
/// <param name="StartTimeout">Until an instance must be ready; null for 1 minute.</param>
/// <param name="Rollout">A plan by which the new revision gets the calls, instead of <paramref name="Traffic"/>; the
/// first one gets all of them at once.</param>
/// <param name="Isolation">What calls have between each other: <c>single-use</c>, a sandbox each, made within one
/// container of the function; <c>strict</c>, a container each; <c>reused</c>, a process each in a sandbox that serves
/// many, <paramref name="Concurrency"/> at once. Null for single-use where that can be: not with the http
/// contract, whose calls share instances, nor with a further runtime or the machine's network.</param>
/// <param name="RetryOn">Ends of such a call after which it is tried again, with commas between: <c>exit signal memory
/// timeout</c>, a code (<c>exit=75</c>); with http, <c>no-answer timeout 4xx 5xx</c>, a status (<c>503</c>); or
/// <c>none</c>. Null for none with stdio, and with http for no-answer, 408, 425, 429 and 5xx. Faults of the platform
/// are always tried again.</param>
/// <param name="RetryDelay">Window of the first delay, doubled with each attempt; null for 200 ms.</param>
/// <param name="RetryMaxDelay">Longest window; null for 30 s.</param>
/// <param name="OnSuccess">Where such a call goes when it has succeeded: a function's name, which gets its result as
/// the body of such a call of its own, or an address, which is told as by a callback.</param>
/// <param name="OnFailure">And when it has failed; a function gets its record.</param>
/// <param name="MaxAge">How long after its acceptance an attempt of such a call may begin; null for ever.</param>
/// <param name="Handler">With lambda, what the program is told by <c>_HANDLER</c>, and its argument where the image has
/// an ENTRYPOINT; null for the image's CMD.</param>
/// <param name="Event">With lambda, what a call's body becomes: <c>raw</c>, the event as it is, or <c>http</c>, an
/// event that tells the whole request, as API Gateway makes them (payload format 2.0). Null for raw.</param>
/// <param name="Secrets">What the program gets of the server's secrets: <c>NAME</c>, as the file
/// <c>/run/secrets/NAME</c>, <c>NAME:/run/secrets/FILE</c>, or <c>NAME:env=VARIABLE</c>. Values are those that the
/// secrets have when a program starts.</param>
/// <param name="Freeze">Without calls, after which an instance is stopped where it stands until its next call, or
/// <c>never</c>; null for 30 s.</param>
/// <param name="Matches">Rules, <c>header:X-Beta=1</c> or <c>cookie:beta=yes</c>: calls that meet one go to the new
/// revision, whatever its share.</param>
/// <param name="Sticky">Whether a caller keeps its place in the shares by a cookie; null leaves it as it is.</param>
/// <param name="Hosts">Host names of the function's own, all of them; null leaves them as they are. More of them are
/// for administrators.</param>
/// <param name="Public">Whether anybody may call it without a token; null leaves it as it is. True is for
/// administrators.</param>
/// <param name="Warm">When more instances are kept without calls than <paramref name="MinInstances"/>; of spans that
/// overlap, the greatest counts. Null for never.</param>
/// <param name="Cache">How long a result answers equal calls, for instance <c>10m</c>; null for not at all. With stdio,
/// whose programs then are told none of a request's headers but its content type.</param>
/// <param name="SingleFlight">Equal calls at once share one execution. Likewise.</param>
/// <param name="Constraints">What the node that runs a call must be like: <c>zone=cellar</c>, <c>zone!=cellar</c>,
/// <c>zone in (a,b)</c>, <c>cpu.feature=avx2</c>, <c>ssd</c>, <c>!ssd</c>; null for any node.</param>
/// <param name="Tolerations">Taints of nodes that it bears, <c>KEY</c> or <c>KEY=VALUE</c>.</param>
/// <param name="Spread">Label of nodes over whose values calls are spread evenly; null for the nodes
/// themselves.</param>
/// <param name="Volumes">In the program's files: named volumes, <c>NAME:/path</c>, and folders of its machine,
/// <c>/folder:/path</c>, both with <c>:ro</c> for reading only. It runs where they are.</param>
/// <param name="Tmpfs">Empty folders in memory, <c>/path</c> or <c>/path:size=64Mi</c>.</param>
public sealed record FunctionRequest(
    string? Image = null,
    IReadOnlyList<string>? Command = null,
    IReadOnlyList<string>? Arguments = null,
    bool PassArguments = false,
    IReadOnlyDictionary<string, string>? Environment = null,
    string? User = null,
    string? WorkingDirectory = null,
    string? Memory = null,
    string? Cpus = null,
    int? Pids = null,
    string? Disk = null,
    string? Network = null,
    string? Timeout = null,
    string? OutputLimit = null,
    string? ContentType = null,
    int? Attempts = null,
    bool RetryFailures = false,
    IReadOnlyDictionary<string, string>? Labels = null,
    int? MaxRunning = null,
    int? MaxWaiting = null,
    int? Traffic = null,
    string? Tag = null,
    string? Runtime = null,
    string? Contract = null,
    int? Port = null,
    string? Probe = null,
    int? Concurrency = null,
    int? MinInstances = null,
    int? MaxInstances = null,
    int? Target = null,
    string? Idle = null,
    string? ScaleDownDelay = null,
    string? StartTimeout = null,
    RolloutRequest? Rollout = null,
    string? Isolation = null,
    string? RetryOn = null,
    string? RetryDelay = null,
    string? RetryMaxDelay = null,
    string? MaxAge = null,
    string? OnSuccess = null,
    string? OnFailure = null,
    string? Handler = null,
    string? Event = null,
    IReadOnlyList<string>? Secrets = null,
    string? Freeze = null,
    IReadOnlyList<string>? Matches = null,
    bool? Sticky = null,
    IReadOnlyList<string>? Hosts = null,
    bool? Public = null,
    IReadOnlyList<WarmSpan>? Warm = null,
    string? Cache = null,
    bool SingleFlight = false,
    IReadOnlyList<string>? Constraints = null,
    IReadOnlyList<string>? Tolerations = null,
    string? Spread = null,
    IReadOnlyList<string>? Volumes = null,
    IReadOnlyList<string>? Tmpfs = null);

/// <summary>A span that comes again, in which instances are kept without calls.</summary>
/// <param name="Start">Times at which it begins, as a cron line: <c>MINUTE HOUR DAY MONTH WEEKDAY</c>.</param>
/// <param name="End">Times at which it ends, likewise.</param>
/// <param name="Zone">Whose clock both go by, such as <c>Europe/Berlin</c>; null for UTC.</param>
/// <param name="Min">Instances, 1 and more.</param>
public sealed record WarmSpan(
    string? Start = null, string? End = null, string? Zone = null, int? Min = null);

/// <summary>What is told about a function.</summary>
/// <param name="Revision">Number of the newest.</param>
/// <param name="Image">Of the newest revision.</param>
/// <param name="Running">Synchronous calls under way in revisions with <c>maxRunning</c>; null where there are none.
/// </param>
/// <param name="Waiting">Calls that wait for one of those to end; null likewise.</param>
/// <param name="Instances">That take or finish calls; null in lists, and where each call is a program.</param>
/// <param name="Scaling">By revision that was called or keeps instances; null likewise.</param>
/// <param name="Rollout"><c>running</c> or <c>paused</c>; null where no rollout is under way.</param>
/// <param name="Calls">What its calls of the last five minutes came to; null where it had none since the server
/// started.</param>
/// <param name="Retry">Of calls that nobody waits for; null in lists.</param>
/// <param name="Isolation">Of the newest revision: <c>single-use</c> or <c>strict</c>; null in lists, and where calls
/// share instances.</param>
/// <param name="Project">The label <c>berth.project</c> of the newest revision: the set of files that it comes from.
/// </param>
/// <param name="Host">The name below the server's <c>function-domain</c>; null where it has none.</param>
public sealed record FunctionView(
    string Name, int Revision, string Image, string ImageDigest, DateTimeOffset CreatedAt, DateTimeOffset DeployedAt,
    TrafficView Traffic, int? Running, int? Waiting, IReadOnlyList<InstanceView>? Instances = null,
    IReadOnlyList<ScalingView>? Scaling = null, string? Rollout = null, CallFigures? Calls = null,
    RetryView? Retry = null, string? Isolation = null, string? Project = null,
    string? Host = null);

/// <summary>What a deployment would lead to; nothing was changed.</summary>
/// <param name="Now">Number of the newest revision; null where there is no such function.</param>
/// <param name="Revision">Number of the newest revision afterwards; that of now where none would be made.</param>
/// <param name="Changed">False where everything is so already.</param>
/// <param name="Before">Settings of the newest revision, all of them; null where there is none.</param>
/// <param name="After">Settings as they would be, with what is left to the image and the server filled in.</param>
/// <param name="Deploys">Whether it takes a deployment; false where what differs is who is let in and by which names
/// and rules, at most.</param>
/// <param name="TrafficBefore">Who gets the calls; null where there is no such function.</param>
/// <param name="TrafficAfter">Who would get them, with the request's rules in place of all there are.</param>
public sealed record FunctionPlan(
    string Name, int? Now, int Revision, bool Changed, FunctionRequest? Before, string? BeforeDigest,
    FunctionRequest After, string AfterDigest, bool Deploys, TrafficView? TrafficBefore, TrafficView TrafficAfter);

/// <summary>When a call that nobody waits for is tried again, by the newest revision.</summary>
/// <param name="On">The words of <c>retryOn</c>; null for what is usual.</param>
/// <param name="MaxAge">Null for ever.</param>
public sealed record RetryView(int Attempts, string? On, string Delay, string MaxDelay, string? MaxAge);

/// <summary>A running program that takes many calls.</summary>
/// <param name="Id">Of its run, whose log it has.</param>
/// <param name="Running">Calls that it has now.</param>
/// <param name="Draining">It gets no more calls, and ends with its last.</param>
/// <param name="MemoryBytes">Charged now; null once it has ended.</param>
/// <param name="CpuMs">Processor time so far.</param>
/// <param name="Frozen">It is stopped where it stands until its next call.</param>
/// <param name="Node">Name of the machine that it is on; null where that is the server's own.</param>
public sealed record InstanceView(
    string Id, int Revision, int Running, bool Draining, long? MemoryBytes, double? CpuMs, bool Frozen = false,
    string? Node = null);

/// <summary>How many instances of a revision there are, and why.</summary>
/// <param name="Waiting">Calls that wait for one.</param>
/// <param name="Min">Kept without calls, outside of spans that say more.</param>
/// <param name="Max">At most.</param>
/// <param name="Why">The last decision on how many there should be, with its numbers.</param>
/// <param name="Trouble">Why the last start of one failed; null when it did not.</param>
/// <param name="Warm">The span in which more are kept now or next, a sentence; null where there is none.</param>
public sealed record ScalingView(
    int Revision, int Ready, int Starting, int Running, int Waiting, int Min, int Max, string Why, string? Trouble,
    string? Warm = null);

public sealed record FunctionList(IReadOnlyList<FunctionView> Functions);

/// <summary>What a deployment led to.</summary>
/// <param name="Changed">False where everything was so already: no revision was made.</param>
public sealed record FunctionDeployment(FunctionView Function, int Revision, bool Changed);

/// <summary>Settings of one revision, as they were given or filled in.</summary>
/// <param name="Spec">All of it, exactly; a tag in the image's name may mean another image by now.</param>
/// <param name="Caller">Name of the token that deployed it.</param>
/// <param name="Percent">Of the calls that name no revision.</param>
/// <param name="Tags">Names that reach it alone.</param>
/// <param name="Calls">What its calls of the last five minutes came to; null where it had none since the server
/// started.</param>
public sealed record RevisionView(
    string Function, int Number, DateTimeOffset CreatedAt, string Caller, string ImageDigest, int Percent,
    IReadOnlyList<string> Tags, FunctionRequest Spec, CallFigures? Calls = null);

/// <summary>Newest first.</summary>
public sealed record RevisionList(IReadOnlyList<RevisionView> Revisions);

/// <param name="Percent">1 to 100; all together 100.</param>
public sealed record ShareView(int Revision, int Percent);

/// <param name="Rule"><c>header:NAME=VALUE</c> or <c>cookie:NAME=VALUE</c>; a value is met exactly.</param>
public sealed record MatchView(string Rule, int Revision);

/// <summary>Who gets the calls, and whose calls are let in. In a request, null leaves what it is about as it is.
/// </summary>
/// <param name="Tags">Revisions by tag.</param>
/// <param name="Matches">Rules that are looked at before the shares, in this order; the first that a call meets
/// decides.</param>
/// <param name="Sticky">Whether a caller keeps its place in the shares by a cookie.</param>
/// <param name="Hosts">Host names of the function's own. More of them are for administrators.</param>
/// <param name="Public">Whether anybody may call it without a token. True is for administrators.</param>
public sealed record TrafficView(
    IReadOnlyList<ShareView> Shares, IReadOnlyDictionary<string, int>? Tags = null,
    IReadOnlyList<MatchView>? Matches = null, bool? Sticky = null, IReadOnlyList<string>? Hosts = null,
    bool? Public = null);

/// <summary>How many instances there are to be, from now on; what is null stays. No revision is made, and no instance
/// ended but those that are too many.</summary>
/// <param name="Idle">As in a <see cref="FunctionRequest"/>, like all of these.</param>
/// <param name="Revision">Of this one; null for those that calls are routed to.</param>
/// <param name="Warm">All of them; an empty list for none.</param>
public sealed record ScaleRequest(
    int? MinInstances = null, int? MaxInstances = null, int? Target = null, string? Idle = null,
    string? ScaleDownDelay = null, int? Revision = null, IReadOnlyList<WarmSpan>? Warm = null);

/// <param name="Revision">The one to go back to; null for what was before the last change.</param>
public sealed record RollbackRequest(int? Revision = null);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(FunctionRequest))]
[JsonSerializable(typeof(FunctionView))]
[JsonSerializable(typeof(FunctionList))]
[JsonSerializable(typeof(FunctionDeployment))]
[JsonSerializable(typeof(FunctionPlan))]
[JsonSerializable(typeof(RevisionView))]
[JsonSerializable(typeof(RevisionList))]
[JsonSerializable(typeof(TrafficView))]
[JsonSerializable(typeof(RollbackRequest))]
[JsonSerializable(typeof(ScaleRequest))]
public sealed partial class FunctionJson : JsonSerializerContext;
