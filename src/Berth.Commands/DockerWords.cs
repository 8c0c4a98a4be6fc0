using System.Collections.Frozen;

namespace Berth.Commands;

/// <summary>What those who know docker's commands look for, and where it is here.</summary>
internal static class DockerWords
{
    private static readonly FrozenDictionary<string, string> Advice = new Dictionary<string, string>
    {
        ["images"] = "Images are listed by 'berth image ls'.",
        ["push"] = "'docker push' pushes to Berth; 'berth image push' sends an image from here to another registry.",
        ["pull"] = "Did you mean 'berth image pull'?",
        ["tag"] = "Did you mean 'berth image tag'?",
        ["rmi"] = "Did you mean 'berth image rm'?",
        ["build"] = "Did you mean 'berth image build'? 'berth image pack' makes an image of a folder.",
        ["commit"] = "A container is not made into an image: 'berth image build' and 'berth image pack' make one.",
        ["container"] = "The verbs of containers stand alone: 'berth ps', 'berth run', 'berth rm'.",
        ["port"] = "'berth inspect' shows a container's ports; a function that serves HTTP is reached through Berth: "
            + "'berth function deploy --port'.",
        ["search"] = "'berth image ls' and 'berth repository ls' list what is here.",
        ["update"] = "Limits are given when a container is made: 'berth create'.",
        ["save"] = "Did you mean 'berth image export'?",
        ["load"] = "Did you mean 'berth image import'?",
        ["import"] = "Did you mean 'berth image import'?",
        ["export"] = "Did you mean 'berth image export'?",
        ["info"] = "'berth version' and 'berth doctor' tell about server and machine.",
        ["logout"] = "Did you mean 'berth context rm'?",
    }.ToFrozenDictionary();

    /// <summary>A sentence about a command that there is not; null for a word that docker has no meaning for.</summary>
    public static string? AdviceOn(string word) => Advice.GetValueOrDefault(word);
}
