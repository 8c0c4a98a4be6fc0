using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Access;
using Berth.Server.Calls;
using Berth.Server.Configuration;
using Berth.Server.Forwarding;
using Berth.Server.Functions;
using Berth.Server.Instances;
using Berth.Server.Lambda;
using Berth.Server.LambdaEndpoints;
using Berth.Server.Loops;
using Berth.Server.Results;
using Berth.Server.Rollouts;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Berth.Server.FunctionEndpoints;

/// <summary>
/// Calls of functions: <c>/v1/functions/NAME[@REVISION]/PATH</c>, by the methods below, and those of OpenFaaS. The
/// revision says how its image is run; the request brings the body, arguments, and what it tells of itself.
/// </summary>
internal sealed class FunctionCalls(
    FunctionManager functions, ServerOptions options, CallAnswer answer, InstanceManager instances,
    Forwarder forwarder, LambdaForwarder lambda, SharedCalls shared, LoopExit exit, TimeProvider time)
{
    public const string Pattern = "/v1/functions/{name}/{**path}";
    public const string OpenFaasPattern = "/function/{name}/{**path}";
    public const string OpenFaasTaskPattern = "/async-function/{name}/{**path}";

    private const string OpenFaasCallbackHeader = "X-Callback-Url";

    /// <summary>What a caller decides; the rest belongs to the revision.</summary>
    private static readonly string[] Callers =
    [
        OptionHeaders.Argument, OptionHeaders.Timeout, OptionHeaders.Label, OptionHeaders.Stream,
        OptionHeaders.Callback, OptionHeaders.MaxAge, OptionHeaders.Priority,
    ];

    /// <summary>The same where an instance serves the request.</summary>
    private static readonly string[] ServiceCallers = [OptionHeaders.Timeout, OptionHeaders.Stream];

    /// <summary>Of functions whose calls are programs.</summary>
    private static readonly string[] ProgramMethods = ["GET", "POST", "PUT", "PATCH", "DELETE"];

    public static IReadOnlyList<string> Methods { get; } = [.. ProgramMethods, "OPTIONS"];

    /// <summary>A synchronous call, or a task where <c>Prefer: respond-async</c> asks for one.</summary>
    public Task CallAsync(HttpContext context)
    {
        Preference preference = Preference.Parse(context.Request.Headers["Prefer"]);
        return AnswerAsync(context, preference.RespondAsync ? RunKind.Task : RunKind.Call, preference);
    }

    /// <summary>The function's own address with a slash behind it is the root of what its program serves.</summary>
    /// <param name="settings">What answers without the slash.</param>
    public RequestDelegate OrRoot(RequestDelegate settings) => context =>
    {
        if (!context.Request.Path.Value!.EndsWith('/'))
        {
            ExtendedConnect.Refuse(context);
            return settings(context);
        }

        Caller caller = Caller.Of(context);
        return caller.May(Permission.FunctionCall) ? CallAsync(context) : throw new BerthException(
            ErrorCode.Forbidden,
            $"Token '{caller.Name}' has the role {Roles.NameOf(caller.Role)}, which may not call functions: ask an "
            + "administrator for a token with another role.");
    };

    /// <summary>Whether a route of <see cref="OrRoot"/> answers it.</summary>
    public static bool MayBeRoot(HttpContext context) =>
        context.Request.Path.StartsWithSegments("/v1/functions", out PathString rest) && rest.HasValue;

    /// <summary>A task, as OpenFaaS's callers hand it in.</summary>
    public Task TaskAsync(HttpContext context)
    {
        IHeaderDictionary headers = context.Request.Headers;
        if (headers.TryGetValue(OpenFaasCallbackHeader, out Microsoft.Extensions.Primitives.StringValues callback))
        {
            if (headers.ContainsKey(OptionHeaders.Callback))
            {
                throw OptionHeaders.Refuse(
                    OpenFaasCallbackHeader, callback, $"{OptionHeaders.Callback} is given too, and says the same");
            }

            headers.Remove(OpenFaasCallbackHeader);
            headers[OptionHeaders.Callback] = callback;
        }

        return AnswerAsync(context, RunKind.Task, default);
    }

    private Task AnswerAsync(HttpContext context, RunKind kind, Preference preference)
    {
        (FunctionEntry entry, Revision revision) = functions.Choose(
            (string)context.Request.RouteValues["name"]!, context);
        if (kind == RunKind.Call && revision.Spec.Service is { Lambda: null })
        {
            return ForwardAsync(context, entry.Record, revision);
        }

        return exit.RunAsync(
            context, c => AnswerAsync(c, kind, preference, entry, revision),
            beginsHere: kind == RunKind.Call && IsSoonOrdered(revision.Spec));
    }

    /// <summary>Whether until a program is ordered nothing is read or decrypted; a task is written first.</summary>
    private static bool IsSoonOrdered(FunctionSpec spec) =>
        spec is { Service: null, Results: null, Run: { Secrets: null, Mounts: null } };

    private Task AnswerAsync(
        HttpContext context, RunKind kind, Preference preference, FunctionEntry entry, Revision revision)
    {
        ExtendedConnect.Refuse(context);
        if (kind == RunKind.Task && Caller.Of(context).IsAnonymous)
        {
            throw new BerthException(
                ErrorCode.Unauthorized,
                $"Anybody may call function '{entry.Record.Name}' and wait for the answer; a call that nobody waits "
                + "for needs a token.");
        }

        if (revision.Spec.Service is not null)
        {
            if (kind == RunKind.Call)
            {
                return ForwardAsync(context, entry.Record, revision);
            }

            RunOrder later = ServiceTask.Read(context, entry.Record, revision, TargetOf(context), options);
            TellCallId(context);
            return answer.AnswerAsync(context, later, preference);
        }

        if (!ProgramMethods.Contains(context.Request.Method))
        {
            throw new BerthException(
                ErrorCode.MethodNotAllowed,
                $"{context.Request.Method} does not call function '{entry.Record.Name}': "
                + $"{string.Join(", ", ProgramMethods)} do.");
        }

        OptionHeaders given = OptionHeaders.Read(context.Request.Headers, kind);
        RequireCallers(entry.Record.Name, revision, given);
        RunSpec asked = Read(context, entry.Record.Name, revision, given, kind);
        RunSpec spec = Merge(entry.Record.Name, revision, asked, given);
        RunOrder order = new(
            // Who waits for an answer decides himself for how long.
            kind, kind == RunKind.Call ? spec with { MaxAge = null } : WithWish(context, revision, spec), given, asked,
            kind == RunKind.Call ? entry.Places.GetValueOrDefault(revision.Number) : null, FunctionLabels.Revision);
        TellCallId(context);
        return kind == RunKind.Call && revision.Spec.Results is not null
            ? shared.AnswerAsync(context, order, revision)
            : answer.AnswerAsync(context, order, preference);
    }

    private static RunSpec WithWish(HttpContext context, Revision revision, RunSpec spec) =>
        revision.Spec.Results is null
            ? spec
            : spec with { CacheControl = CallWish.Of(context.Request.Headers.CacheControl).Text };

    /// <summary>To OpenFaaS's callers, once it is known.</summary>
    private void TellCallId(HttpContext context)
    {
        if (IsOpenFaas(context))
        {
            OpenFaasAnswer.Describe(context.Response, null, time);
        }
    }

    /// <summary>What the request asks of the function.</summary>
    private RunSpec Read(HttpContext context, string function, Revision revision, OptionHeaders given, RunKind kind)
    {
        Caller caller = Caller.Of(context);
        if (caller.IsAnonymous && given.Find(OptionHeaders.Label) is { } label)
        {
            throw OptionHeaders.Refuse(OptionHeaders.Label, label, "only callers with a token label their calls");
        }

        // Two requests are the same when they ask the same of the function, whatever revision gets them.
        RunSpec asked = RunRequest.Parse(
            context.Request, given, kind, ImageReference.Parse("function/" + function), revision.Spec.Run.Digest,
            options);
        // Of what differs from caller to caller, the program of a result for several is told nothing.
        bool isShared = revision.Spec.Results is not null;
        Dictionary<string, string> environment = new(
            asked.Environment.Where(v => !isShared || !v.Key.StartsWith("HTTP_", StringComparison.Ordinal)))
        {
            ["PATH_INFO"] = "/" + (context.Request.RouteValues["path"] as string ?? ""),
        };
        if (caller.IsAnonymous && !isShared && OwnAuthorization.IsOfProgram(context.Request))
        {
            environment["HTTP_AUTHORIZATION"] = context.Request.Headers.Authorization.ToString();
        }

        return asked with { Image = $"function {context.Request.RouteValues["name"]}", Environment = environment };
    }

    private static bool IsOpenFaas(HttpContext context) =>
        !context.Request.Path.StartsWithSegments("/v1", StringComparison.Ordinal) && !HostedCall.Is(context);

    private Task ForwardAsync(HttpContext context, Function function, Revision revision)
    {
        OptionHeaders given = OptionHeaders.Read(context.Request.Headers, RunKind.Call);
        RequireServiceCallers(function.Name, given);
        (string prefix, string target) = TargetOf(context);
        if (IsOpenFaas(context))
        {
            OpenFaasAnswer.Describe(context.Response, RunId.New(time.GetUtcNow()).Text, time);
        }

        if (revision.Spec.Service!.Lambda is { } contract)
        {
            return lambda.AnswerAsync(
                context, contract,
                new LambdaRoute(
                    instances.Of(function, revision), new RevisionKey(function.Name, revision.Number),
                    TimeoutOf(function.Name, revision, given), Caller.Of(context).Name),
                new RequestedPath(prefix, target));
        }

        Caller caller = Caller.Of(context);
        ForwardRoute route = new(
            instances.Of(function, revision), new RevisionKey(function.Name, revision.Number), target, prefix,
            TimeoutOf(function.Name, revision, given), caller.Name,
            caller.IsAnonymous && OwnAuthorization.IsOfProgram(context.Request));
        return forwarder.ForwardAsync(context, route);
    }

    /// <summary>The revision's, or the shorter one that the call asks for.</summary>
    private TimeSpan TimeoutOf(string name, Revision revision, OptionHeaders given)
    {
        TimeSpan own = revision.Spec.Run.Timeout;
        TimeSpan? asked = ProgramRules.Time(
            given.Ask(OptionHeaders.Timeout), RunRequest.LeastTime, options.MaxCallTimeout, "max-call-timeout");
        return TimeoutOf(name, own, asked ?? own, given);
    }

    /// <param name="asked">Holds where the request has the header.</param>
    public static TimeSpan TimeoutOf(string name, TimeSpan own, TimeSpan asked, OptionHeaders given) =>
        given.Find(OptionHeaders.Timeout) is not { } text ? own
        : asked > own ? throw TooLong(name, own, text)
        : asked;

    /// <summary>The part of the path that names the function, and what is left of it with the query, as the caller
    /// wrote both.</summary>
    private static (string Prefix, string Target) TargetOf(HttpContext context)
    {
        string raw = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        // OPTIONS alone may be for the server as a whole (RFC 9112, section 3.2.4).
        if (raw != "*" && !raw.StartsWith('/'))
        {
            // The absolute form, which is for proxies (RFC 9112, section 3.2.2).
            int root = raw.IndexOf('/', raw.IndexOf("://", StringComparison.Ordinal) + 3);
            raw = root < 0 ? "/" : raw[root..];
        }

        if (HostedCall.Is(context))
        {
            return ("", raw);
        }

        int words = context.Request.Path.StartsWithSegments("/v1", StringComparison.OrdinalIgnoreCase) ? 3 : 2;
        int end = 0;
        for (int word = 0; word < words; word++)
        {
            end = raw.AsSpan(end + 1).IndexOfAny('/', '?') is var next and >= 0 ? end + 1 + next : raw.Length;
        }

        // Where the path was resolved (dots, doubled slashes), what names the function is not where it was looked for.
        string prefix = raw[..end];
        string path = context.Request.Path.Value!;
        bool isAsWritten = path.StartsWith(prefix, StringComparison.Ordinal)
            && (path.Length == prefix.Length || path[prefix.Length] == '/') && !prefix.Contains('%');
        if (!isAsWritten)
        {
            string named = string.Join('/', path.Split('/').Take(words + 1));
            if (Uri.UnescapeDataString(prefix) != named)
            {
                throw new BerthException(
                    ErrorCode.InvalidRequest,
                    $"The path '{named}' came in another spelling: write the part that names the function as it is.");
            }
        }

        string rest = raw[end..];
        return (prefix, rest.StartsWith('/') ? rest : "/" + rest);
    }

    /// <summary>The program's answer is passed on as it comes, so that a wish for that is no word too many.</summary>
    private static void RequireServiceCallers(string name, OptionHeaders given)
    {
        if (given.Names.FirstOrDefault(
            n => !ServiceCallers.Contains(n, StringComparer.OrdinalIgnoreCase)) is { } foreign)
        {
            throw OptionHeaders.Refuse(
                foreign, given.Find(foreign),
                $"a call of function '{name}' takes {string.Join(" and ", ServiceCallers)} alone: what its program "
                + "gets is the request");
        }

        _ = RunRequest.AnswerStartOf(given);
    }

    private static void RequireCallers(string name, Revision revision, OptionHeaders given)
    {
        if (!revision.Spec.PassArguments && given.Find(OptionHeaders.Argument) is { } argument)
        {
            throw OptionHeaders.Refuse(
                OptionHeaders.Argument, argument,
                $"function '{name}' takes none; 'berth function deploy --pass-arguments' lets calls bring arguments");
        }

        if (given.Names.FirstOrDefault(n => !Callers.Contains(n, StringComparer.OrdinalIgnoreCase)) is { } foreign)
        {
            throw OptionHeaders.Refuse(
                foreign, given.Find(foreign),
                $"function '{name}' decides it; its calls take {string.Join(", ", Callers)}");
        }
    }

    private static RunSpec Merge(string name, Revision revision, RunSpec asked, OptionHeaders given)
    {
        RunSpec own = RevisionRuns.Of(name, revision);
        Dictionary<string, string> environment = new(asked.Environment)
        {
            ["BERTH_FUNCTION"] = name,
            ["BERTH_REVISION"] = revision.Number.ToString(CultureInfo.InvariantCulture),
        };
        // What the revision sets, no request can change.
        foreach ((string variable, string value) in own.Environment)
        {
            environment[variable] = value;
        }

        Dictionary<string, string> labels = new(asked.Labels);
        foreach ((string label, string value) in own.Labels)
        {
            labels[label] = value;
        }

        labels[FunctionLabels.Function] = name;
        labels[FunctionLabels.Revision] = revision.Number.ToString(CultureInfo.InvariantCulture);
        return own with
        {
            Command = own.Command is null ? null : With(own.Command, asked),
            Arguments = own.Command is null ? With(own.Arguments, asked) : null,
            Environment = environment,
            Timeout = TimeoutOf(name, own.Timeout, asked.Timeout, given),
            MaxAge = AgeOf(name, own.MaxAge, asked.MaxAge, given),
            Callback = asked.Callback,
            Labels = labels,
            Priority = asked.Priority,
        };
    }

    /// <summary>The revision's, or the shorter one that the call asks for.</summary>
    public static TimeSpan? AgeOf(string name, TimeSpan? own, TimeSpan? asked, OptionHeaders given) => asked > own
        ? throw OptionHeaders.Refuse(
            OptionHeaders.MaxAge, given.Find(OptionHeaders.MaxAge),
            $"function '{name}' gives up on its calls after {Duration.Format(own!.Value)}, and a call can only ask for "
            + "less")
        : asked ?? own;

    private static BerthException TooLong(string name, TimeSpan own, string? asked) => OptionHeaders.Refuse(
        OptionHeaders.Timeout, asked,
        $"function '{name}' gives its calls {Duration.Format(own)}, and a call can only ask for less");

    private static IReadOnlyList<string>? With(IReadOnlyList<string>? own, RunSpec asked) => asked.Arguments is null
        ? own
        : ProgramRules.Words(new Asked(OptionHeaders.Argument, null), [.. own ?? [], .. asked.Arguments]);
}
