using System.CommandLine;
using System.Text.Json.Serialization;
using Berth.Api.Errors;
using Berth.Api.Nodes;
using Berth.Cli.Machines;
using Berth.Commands;
using Berth.Commands.Contexts;
using Berth.Commands.Output;
using Berth.Commands.Servers;
using Berth.Core.Errors;
using Berth.Server.Configuration;

namespace Berth.Cli.Servers;

/// <summary><c>berth doctor</c>: what is missing on this machine, and how to get it.</summary>
internal sealed class DoctorCommand : Verb
{
    private const int DefaultPort = 7070;

    private readonly OutputOption output = new();
    private readonly Option<string> data = new("--data")
    {
        HelpName = "PATH",
        Description = "Data folder that the server is to use",
        DefaultValueFactory = _ => ServerTarget.DefaultDataFolder,
    };

    private readonly Option<bool> security = new("--security")
    {
        Description = "Look instead at what this machine can't enforce around a sandbox",
    };

    public DoctorCommand()
        : base(
            "doctor", ServerPart.Doctor,
            new("berth doctor", "All checks; exit code 69 when something is missing"),
            new("berth doctor --security", "What this machine can't enforce around a sandbox"),
            new("berth doctor -o json | jq '.[] | select(.state != \"ok\")'", "What is not in order"))
    {
        Add(data);
        Add(security);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        MachineFacts facts = await MachineFacts.GatherAsync(session.Get(data)!, DefaultPort, cancellationToken);
        bool isAboutSecurity = session.Get(security);
        IReadOnlyList<Finding> findings = isAboutSecurity
            ? SecurityReview.Judge(facts, SecurityFacts.Gather())
            : [.. Checkup.Judge(facts), .. await RuntimeCheck.JudgeAsync(Runtimes(), cancellationToken)];
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(
                session.Terminal, [
                    .. findings.Select(f => new FindingLine(f.Name, NameOf(f.State), f.Detail, f.Remedy))],
                FindingJson.Default.FindingLineArray);
        }
        else
        {
            Write(
                session, findings,
                isAboutSecurity
                    ? "This machine enforces all of it."
                    : "This machine is ready: start a server with 'berth serve'.");
        }

        return findings.Any(f => f.State == FindingState.Missing)
            ? ErrorCatalog.Find(ErrorCode.MissingTool).ExitCode
            : 0;
    }

    /// <summary>Of the server that would start here without flags. Throws BerthException where its settings can't be
    /// used.</summary>
    private static IReadOnlyList<RegisteredRuntime> Runtimes() => ConfigurationReader.Read(
        ConfigurationSources.FromMachine(new Dictionary<string, IReadOnlyList<string>>(), file: null)).Runtimes;

    private static void Write(Session session, IReadOnlyList<Finding> findings, string praise)
    {
        Table table = new(new("CHECK"), new("STATE"), new("DETAIL"));
        foreach (Finding finding in findings)
        {
            table.Add(finding.Name, NameOf(finding.State), finding.Detail);
        }

        table.Write(session.Terminal);
        session.Terminal.Out.Flush();
        Finding[] open = [.. findings.Where(f => f.State != FindingState.Ok)];
        session.Say(open.Length == 0 ? "\n" + praise : "\nTo do:");
        foreach (Finding finding in open)
        {
            session.Say($"  {finding.Name}: {finding.Remedy}");
        }
    }

    private static string NameOf(FindingState state) => state.ToString().ToLowerInvariant();
}

/// <summary>A finding as JSON.</summary>
internal sealed record FindingLine(string Name, string State, string Detail, string? Remedy);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(FindingLine[]))]
internal sealed partial class FindingJson : JsonSerializerContext;
