using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json.Serialization;
using Berth.Api.Nodes;
using Berth.Commands.Output;
using Berth.Core.Errors;

namespace Berth.Commands.Servers;

/// <summary>Versions of both ends; the server's is null where none answers.</summary>
internal sealed record VersionPair(VersionView Client, VersionView? Server);

/// <summary><c>berth version</c>.</summary>
internal sealed class VersionCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly Option<bool> clientOnly = new("--client") { Description = "Do not ask the server" };

    public VersionCommand()
        : base(
            "version", "Print the versions of this program and of the server",
            new("berth version", "Both"),
            new("berth version --client -o json", "This program's, for programs"))
    {
        Add(output);
        Add(clientOnly);
    }

    public static VersionView OfThisProgram() => new(
        typeof(VersionCommand).Assembly.GetName().Version!.ToString(3), RuntimeInformation.FrameworkDescription,
        RuntimeInformation.OSDescription, RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant());

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        VersionView? server = null;
        string? whyNot = null;
        if (!session.Get(clientOnly))
        {
            try
            {
                server = await session.Client.VersionAsync(cancellationToken);
            }
            catch (BerthException e) when (e.Code is ErrorCode.Upstream or ErrorCode.Unauthorized)
            {
                whyNot = e.Message;
            }
        }

        VersionView client = OfThisProgram();
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, new VersionPair(client, server), VersionJson.Default.VersionPair);
        }
        else
        {
            await session.Terminal.Out.WriteLineAsync($"Client  {Line(client)}");
            if (server is not null)
            {
                await session.Terminal.Out.WriteLineAsync($"Server  {Line(server)}");
            }
        }

        if (whyNot is not null)
        {
            session.Say(whyNot);
        }

        return 0;
    }

    private static string Line(VersionView version) =>
        $"{version.Version}  {version.Runtime}, {version.OperatingSystem}, {version.Architecture}";
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(VersionPair))]
internal sealed partial class VersionJson : JsonSerializerContext;
