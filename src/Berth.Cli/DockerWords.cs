using System.Collections.Frozen;

namespace Berth.Cli;

/// <summary>What those who know docker's commands look for, and where it is here.</summary>
internal static class DockerWords
{
    private static readonly FrozenDictionary<string, string> Advice = new Dictionary<string, string>
    {
        ["images"] = "Images are listed by 'berth image ls'.",
        ["inspect"] = "'berth image inspect' shows an image, 'berth task get' a run.",
        ["push"] = "'docker push' pushes to Berth; 'berth image push' sends an image from here to another registry.",
        ["pull"] = "Did you mean 'berth image pull'?",
        ["tag"] = "Did you mean 'berth image tag'?",
        ["rmi"] = "Did you mean 'berth image rm'?",
        ["rm"] = "Containers are removed by themselves; 'berth image rm' removes an image.",
        ["build"] = "'berth image pack' makes an image of a folder; docker and buildah build and push here.",
        ["save"] = "Did you mean 'berth image export'?",
        ["load"] = "Did you mean 'berth image import'?",
        ["import"] = "Did you mean 'berth image import'?",
        ["export"] = "Did you mean 'berth image export'?",
        ["stop"] = "Did you mean 'berth task cancel'? Ctrl-C ends what 'berth run' started.",
        ["kill"] = "Did you mean 'berth task cancel'? Ctrl-C ends what 'berth run' started.",
        ["exec"] = "This version runs nothing in a container that exists already; "
            + "'berth run --entrypoint /bin/sh IMAGE' looks around in a new one.",
        ["attach"] = "'berth logs -f' follows what a run says.",
        ["start"] = "'berth run' waits for the program, 'berth task submit' does not.",
        ["create"] = "'berth run' waits for the program, 'berth task submit' does not.",
        ["wait"] = "Did you mean 'berth task wait'?",
        ["stats"] = "'berth ps' lists what runs; 'berth task get' tells what a run used.",
        ["top"] = "'berth ps' lists what runs; 'berth task get' tells what a run used.",
        ["info"] = "'berth version' and 'berth doctor' tell about server and machine.",
        ["logout"] = "Did you mean 'berth context rm'?",
    }.ToFrozenDictionary();

    /// <summary>A sentence about a command that there is not; null for a word that docker has no meaning for.</summary>
    public static string? AdviceOn(string word) => Advice.GetValueOrDefault(word);
}
