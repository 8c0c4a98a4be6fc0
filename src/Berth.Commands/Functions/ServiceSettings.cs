using System.CommandLine;
using Berth.Api.Functions;
using Berth.Commands.Runs;

namespace Berth.Commands.Functions;

/// <summary>The options about how calls reach a function's program, and how many instances there are.</summary>
internal sealed class ServiceSettings
{
    private readonly Option<string?> contract = Named(
        "--contract", "stdio|http|lambda",
        "A program for each call, or instances that listen on a port or ask Lambda's Runtime API; by default as the "
            + "image tells");

    private readonly Option<string?> port = Named(
        "--port", "PORT", "The program listens on, told to it as PORT; the one the image exposes, or 8080");

    private readonly Option<string?> probe = Named(
        "--probe", "PATH", "Answers 200 to 399 once an instance can take calls; an open port is enough if not given");

    private readonly Option<string?> concurrency = Named(
        "--concurrency", "N", "Calls that an instance (default 80) or a reused sandbox (default 1) gets at once");

    private readonly Option<string?> minInstances = Named(
        "--min-instances", "N", "Instances that are kept without calls (default 0)");

    private readonly Option<string?> maxInstances = Named("--max-instances", "N", "Instances at most (default 20)");

    private readonly Option<string?> target = Named(
        "--target", "PERCENT", "Of the concurrency, at which another instance is started (default 70)");

    private readonly Option<string?> idle = Named(
        "--idle", "TIME", "Without calls, after which the last instance ends (default 5m)");

    private readonly Option<string?> delay = Named(
        "--scale-down-delay", "TIME", "How long fewer instances must do before there are fewer (default 30s)");

    private readonly Option<string?> startTimeout = Named(
        "--start-timeout", "TIME", "Until an instance must be ready (default 1m)");

    private readonly Option<string?> freeze = Named(
        "--freeze", "TIME|never",
        "Without calls, after which an instance is stopped where it stands until its next one (default 30s)");

    private readonly WarmOption warm = new();

    private readonly Option<string?> handler = Named(
        "--handler", "NAME", "Handler of a Lambda image, as _HANDLER and in place of its CMD");

    private readonly Option<string?> lambdaEvent = Named(
        "--event", "raw|http",
        "What a Lambda function gets: the body as it is (default), or an event that tells the whole HTTP request");

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[
            contract, port, probe, concurrency, minInstances, maxInstances, target, idle, delay, startTimeout, freeze,
            warm, handler, lambdaEvent])
        {
            command.Add(option);
        }
    }

    public FunctionRequest Add(Session session, FunctionRequest request) => request with
    {
        Contract = session.Get(contract),
        Port = Count(session, port),
        Probe = session.Get(probe),
        Concurrency = Count(session, concurrency),
        MinInstances = Count(session, minInstances),
        MaxInstances = Count(session, maxInstances),
        Target = Count(session, target),
        Idle = session.Get(idle),
        ScaleDownDelay = session.Get(delay),
        StartTimeout = session.Get(startTimeout),
        Freeze = session.Get(freeze),
        Warm = warm.Read(session),
        Handler = session.Get(handler),
        Event = session.Get(lambdaEvent),
    };

    private static int? Count(Session session, Option<string?> option) =>
        RunSettings.Parse(session, option, RunSettings.ParseCount);

    private static Option<string?> Named(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description };
}
